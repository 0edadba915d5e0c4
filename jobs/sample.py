"""spark-submit entry of the stage sample: jobs/sample.py RECIPE --workspace DIR [section.key=value ...]."""

from clickweave.jobkit.cli import stage_job

if __name__ == "__main__":
    stage_job("sample")
