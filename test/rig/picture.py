"""A picture of a host, to hold one moment against another."""

from __future__ import annotations

import json

from rig.machine import Machine

PICTURE = """
import json, os, subprocess, sys
seen = []
for top in sys.argv[1:]:
    for folder, folders, files in os.walk(top):
        for name in [".", *files, *folders]:
            path = os.path.normpath(os.path.join(folder, name))
            st = os.lstat(path)
            # Whatever touches content, owner or mode leaves its mark on the change time.
            seen.append([path, st.st_ino, oct(st.st_mode), st.st_uid, st.st_size, st.st_mtime_ns,
                         st.st_ctime_ns])
kernel = [
    subprocess.check_output(["ip", *words.split()], text=True)
    for words in ("-d address", "route show table all", "-6 route show table all", "rule")
]
print(json.dumps([sorted(seen), kernel]))
"""


def picture(host: Machine, *folders: str) -> str:
    """Return every file's inode, owner, mode and times, and what the kernel holds, as text.

    :param folders: those to look at; one that is not there counts as empty.
    """
    files, kernel = json.loads(host.run([host.python, "-I", "-S", "-c", PICTURE, *folders]).out)
    return "\n".join([*map(json.dumps, files), *kernel])
