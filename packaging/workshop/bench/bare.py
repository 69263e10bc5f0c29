"""The least that a notify service in Python can do."""

import sdnotify

sdnotify.SystemdNotifier().notify("READY=1")
