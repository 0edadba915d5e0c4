"""Where ranks run: in this process, on hosts, or on Spark executors. The only home of horovod, imported lazily."""
