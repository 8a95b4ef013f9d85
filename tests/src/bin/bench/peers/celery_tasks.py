"""A task with nothing to do: each run leaves a byte in a file, so that it can be counted."""
import os

from celery import Celery
from celery.signals import task_postrun

app = Celery("bench", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"confirm_publish": True},
)
done = os.open(os.environ["BENCH_DONE"], os.O_WRONLY | os.O_APPEND)


@app.task
def nothing():
    pass


@task_postrun.connect
def count(**_):
    os.write(done, b".")
