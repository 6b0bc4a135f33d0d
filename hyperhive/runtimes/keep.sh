# The first process of a harness's unit inside a machine: sh keep.sh OUTPUT PROGRAM …
# What the program prints goes to the host's log (OUTPUT) and to the journal. SIGTERM goes to the program alone. Its exit
# status becomes the unit's: 128 + signal where it was killed.
output=$1
shift
fifo=$RUNTIME_DIRECTORY/out
mkfifo "$fifo" || exit 1
tee -p -- "$output" <"$fifo" &
tee=$!
# A shell lets what it starts so ignore these two.
env --default-signal=INT,QUIT -- "$@" >"$fifo" 2>&1 </dev/null &
program=$!
trap 'kill "$program"' TERM
while :; do
  wait "$program"
  status=$?
  # A signal ends the wait, too.
  kill -0 "$program" 2>/dev/null || break
done
# The last words are on their way; who else holds the pipe is not waited for.
left=50
while jobs >/dev/null; kill -0 "$tee" 2>/dev/null && [ "$left" -gt 0 ]; do
  left=$((left - 1))
  sleep 0.02
done
exit "$status"
