.PHONY: setup demo test fast lint format

setup:
	./scripts/setup

demo:
	./scripts/demo

test:
	./scripts/test

fast:
	./scripts/test --fast

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy lib
	.venv/bin/lint-imports --no-logo

format: setup
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .
