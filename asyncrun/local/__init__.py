"""The embedded ECS, CloudWatch and Airflow for laptops, the demo and tests. Never imported by the product."""
