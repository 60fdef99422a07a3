"""The only code that talks to AWS, Kubernetes and Airflow connections; call budgets."""
