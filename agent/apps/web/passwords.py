"""Who gave the right password, and for how long somebody waits who gives wrong ones."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping

FREE_TRIES = 3
"""Wrong passwords in a row that nobody has to wait for."""
LONGEST_WAIT_S, LONGEST_WAIT_OF_USER_S = 300.0, 20.0
"""After wrong passwords from one address; and for one user, who must not be shut out by others."""
FORGOTTEN_S = 3600.0
MOST_KNOWN = 10_000


class Passwords:
    """Users and their passwords.

    After each wrong one in a row the wait doubles: for the address it came from, and, up to a
    shorter wait, for the user from any address that has not given the right one before. A
    password is not looked at while one has to wait, so guessing tells nothing then.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        """Bind the passwords by user; none: nobody is asked."""
        self._key = secrets.token_bytes(32)
        self._known = {user: self._digest(password) for user, password in users.items()}
        self._nobody = self._digest(secrets.token_hex())
        self._wrong: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._right: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._known)

    def _digest(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode(), hashlib.sha256)

    def check(self, user: str, password: str, address: str) -> bool:
        """Whether it is the user's password; takes as long for a user that is unknown."""
        same = hmac.compare_digest(self._known.get(user, self._nobody), self._digest(password))
        keys = [("address", address), ("user", user)]
        with self._lock:
            if same:
                # not the user's: else a right password from here would free those who guess
                self._wrong.pop(keys[0], None)
                self._right[user, address] = None
                self._right.move_to_end((user, address))
            else:
                for key in keys:
                    count = self._wrong.pop(key, (0, 0.0))[0] + 1
                    self._wrong[key] = count, time.monotonic()
            for memory in (self._wrong, self._right):
                while len(memory) > MOST_KNOWN:
                    memory.popitem(last=False)
        return same

    def wait_s(self, user: str, address: str) -> float:
        """Seconds until a password of this user is looked at again from this address; 0: now."""
        now = time.monotonic()
        with self._lock:
            waits = [self._wait(("address", address), LONGEST_WAIT_S, now)]
            if (user, address) not in self._right:
                waits.append(self._wait(("user", user), LONGEST_WAIT_OF_USER_S, now))
        return max(waits)

    def _wait(self, key: tuple[str, str], longest_s: float, now: float) -> float:
        count, last = self._wrong.get(key, (0, 0.0))
        if count <= FREE_TRIES or now - last > FORGOTTEN_S:
            return 0.0
        return max(0.0, last + min(longest_s, 2.0 ** min(count - FREE_TRIES, 30)) - now)
