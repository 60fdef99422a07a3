"""
Deferred tasks in a real Airflow on PostgreSQL: ours beside upstream's, from a container's end to the task's success.

``python -m benchmarks.airflow`` measures. The containers are played (``ecs_server``, ``pod_server``): they run in
silence until all tasks are deferred, which takes the workers minutes and is Airflow's own cost, and then write their
lines and end when they are told to.
"""
