"""spark-submit entry of the stage train: jobs/train.py RECIPE --workspace DIR [section.key=value ...]."""

from clickweave.jobkit.cli import stage_job

if __name__ == "__main__":
    stage_job("train")
