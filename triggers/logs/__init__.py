"""From a container's output to the Airflow task log: sources, records, and the one emitter of the process."""
