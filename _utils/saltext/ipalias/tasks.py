"""Definitions of tasks for the Task Scheduler of Windows, which starts what outlives Salt there.

As a definition and not by ``schtasks /TR``: that takes 261 characters, and leaves a task the
defaults by which it neither starts on batteries nor goes on when the mains fail
(``DisallowStartIfOnBatteries``, ``StopIfGoingOnBatteries``: MS-TSCH, 2.5.4).

Format: the Task Scheduler's XML schema, version 1.2 (Windows Vista and later). Without a word
on its encoding a file is UTF-8, and ``schtasks /XML`` takes it so.
"""

from __future__ import annotations

from collections.abc import Sequence

#: How a task is started: at boot, or by ``schtasks /Run`` alone.
AT_BOOT = "<Triggers><BootTrigger><Enabled>true</Enabled></BootTrigger></Triggers>"
ON_DEMAND = "<Triggers />"


def render_task(argv: Sequence[str], description: str, triggers: str, limit: str = "PT0S") -> str:
    """Return the definition of a task that runs as SYSTEM.

    :param triggers: `AT_BOOT` or `ON_DEMAND`.
    :param limit: longest that it may run, a duration of XML Schema; ``PT0S``: for ever.
    """
    command, *arguments = argv
    line = " ".join(f'"{word}"' for word in arguments)
    return f"""<?xml version="1.0"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>Written by the ipalias formula: {xml(description)}\
</Description></RegistrationInfo>
  {triggers}
  <Principals><Principal id="Author"><UserId>S-1-5-18</UserId>\
<RunLevel>HighestAvailable</RunLevel></Principal></Principals>
  <Settings>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>{limit}</ExecutionTimeLimit>
  </Settings>
  <Actions Context="Author"><Exec>
    <Command>{xml(command)}</Command>
    <Arguments>{xml(line)}</Arguments>
  </Exec></Actions>
</Task>
"""


def create(name: str, path: str) -> list[str]:
    """Return the command that makes a task of a definition; an older one of that name goes.

    :param path: file of the definition; a slash would begin an option to some programs.
    """
    return ["schtasks", "/Create", "/TN", name, "/XML", path.replace("/", "\\"), "/F"]


def xml(text: str) -> str:
    """Return a text as it stands between quotes in XML.

    Not by xml.sax: that brings urllib along, and with it each run a tenth of its time.
    """
    for sign, word in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(sign, word)
    return text
