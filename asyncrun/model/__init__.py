"""Pure values: refs, outcomes, diagnosis, completion event, errors, settings. Knows neither Airflow nor an SDK."""
