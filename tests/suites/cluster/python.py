"""redis-py's cluster client."""

import sys
import threading
import time

import redis

KEYS = 30
addresses, name = [address.split(":") for address in sys.argv[1].split(",")], sys.argv[2]
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
nodes = [redis.cluster.ClusterNode(host, int(port)) for host, port in addresses]
client = redis.RedisCluster(startup_nodes=nodes, socket_timeout=1)
known, unsure, done, turn = {}, {}, 0, 0
while not over.is_set():
    key = f"{name}:{turn % KEYS}"
    turn += 1
    try:
        value = client.incr(key)
    except Exception as error:
        print("error", type(error).__name__, error, flush=True)
        unsure[key] = unsure.get(key, 0) + 1
        time.sleep(0.05)
        continue
    least = known.get(key, 0) + 1
    if not least <= value <= least + unsure.pop(key, 0):
        print("wrong", key, "is", value, "and must be", least, flush=True)
    known[key] = value
    done += 1
    if done % 50 == 0:
        print("at", done, flush=True)
for key, value in known.items():
    found = int(client.get(key))
    if found != value:
        print("wrong", key, "is", found, "and was", value, flush=True)
print("over", done, flush=True)
