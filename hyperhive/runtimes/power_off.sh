# What follows a harness's unit inside a machine: the machine ends at once and with the harness's status, also where
# something in it would not end (on cgroup v1 nobody would notice that).
[ "$EXIT_CODE" = exited ] || EXIT_STATUS=255
exec systemctl --force exit "$EXIT_STATUS"
