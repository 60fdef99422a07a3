"""Operator arguments -> pod manifest, and what is wrong with them. Pure: no Airflow, no client library, no clock."""
