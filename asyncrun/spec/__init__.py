"""Pure functions from operator arguments to requests. Knows neither Airflow nor an SDK."""
