"""What the shared parts of asyncrun count, sent as Airflow metrics: catalogue, samples, and the one task that sends."""
