"""django-redis as Django's cache and as the store of its sessions."""

import sys
from importlib import import_module

import django
from django.conf import settings

settings.configure(
    CACHES={
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{sys.argv[1]}/3",
            "OPTIONS": {"CLIENT_CLASS": "django_redis.client.DefaultClient"},
        }
    },
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    INSTALLED_APPS=["django.contrib.sessions"],
    SECRET_KEY="for tests only",
)
django.setup()

from django.core.cache import cache  # noqa: E402

cache.clear()
cache.set("a", {"x": [1, 2, None]}, timeout=100)
assert cache.get("a") == {"x": [1, 2, None]}
assert cache.get("missing", "default") == "default"
assert 90 < cache.ttl("a") <= 100
assert not cache.add("a", 1) and cache.add("b", 1)
assert cache.incr("b", 5) == 6 and cache.decr("b") == 5
cache.set_many({"m1": 1, "m2": 2}, timeout=50)
assert cache.get_many(["m1", "m2", "m3"]) == {"m1": 1, "m2": 2}
assert cache.touch("m1", 500) and cache.ttl("m1") > 400
assert sorted(cache.keys("m*")) == ["m1", "m2"]
assert sorted(cache.iter_keys("m*")) == ["m1", "m2"]
assert cache.delete_pattern("m*") == 2
assert cache.persist("a") and cache.ttl("a") is None
assert cache.get_or_set("computed", lambda: 7) == 7
cache.set("v", "old", version=1)
assert cache.incr_version("v", version=1) == 2 and cache.get("v", version=2) == "old"
with cache.lock("a lock", timeout=10):
    assert not cache.lock("a lock", blocking_timeout=0.05).acquire()

session = import_module(settings.SESSION_ENGINE).SessionStore()
session["user"] = 42
session.save()
assert import_module(settings.SESSION_ENGINE).SessionStore(session_key=session.session_key)["user"] == 42
cache.clear()
assert cache.get("a") is None
