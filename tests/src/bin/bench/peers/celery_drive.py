"""Dispatches tasks one by one on an idle system, then many by 16 threads; prints the figures as JSON."""
import json
import os
import sys
import threading
import time

from celery_tasks import nothing

path, total = os.environ["BENCH_DONE"], int(sys.argv[1])


def wait(size):
    while os.stat(path).st_size < size:
        time.sleep(0.0002)


for n in range(50):
    nothing.delay()
    wait(n + 1)
spans = []
for _ in range(300):
    size = os.stat(path).st_size
    start = time.perf_counter()
    nothing.delay()
    wait(size + 1)
    spans.append((time.perf_counter() - start) * 1000)
size, start = os.stat(path).st_size, time.perf_counter()


def dispatch():
    for _ in range(total // 16):
        nothing.delay()


threads = [threading.Thread(target=dispatch) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
dispatched = total / (time.perf_counter() - start)
wait(size + total // 16 * 16)
print(json.dumps({"spans": spans, "dispatched": dispatched, "ended": total / (time.perf_counter() - start)}))
