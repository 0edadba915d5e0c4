"""spark-submit entry of all stages: jobs/pipeline.py RECIPE --workspace DIR [--from STAGE] [--to STAGE] [...]."""

from clickweave.jobkit.cli import stage_job

if __name__ == "__main__":
    stage_job("run")
