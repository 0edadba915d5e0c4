"""spark-submit entry of the stage evaluate: jobs/evaluate.py RECIPE --workspace DIR [section.key=value ...]."""

from clickweave.jobkit.cli import stage_job

if __name__ == "__main__":
    stage_job("evaluate")
