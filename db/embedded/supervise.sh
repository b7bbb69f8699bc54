# The parent of one private PostgreSQL: it runs the server while anybody uses it, and cleans up behind it.
#
#   fd 3    reading end of $run/live. Every process that uses the server holds the writing end, so end of file
#           means that the last of them is gone, however it died. Lines: hello (somebody came), start, stop.
#   fd 4    the lock, inherited by every process of the server.
#   fd 5    end of file when every process of the server is gone, as they alone hold the other end,
#   fd 6    which is this.
#
# With server=0 it waits for the line start and runs "$@"; else it takes over a running server, by its process id,
# and fd 5 is empty. A child of it does the watching, and is replaced if it is killed. If the parent is killed, the
# child goes on alone.
run=$1 data=$2 kind=$3 server=$4 line=
shift 4
trap '' HUP INT QUIT TERM

# unused returns when the server is to stop. Renaming live keeps new users out. One who opened it just before
# the renaming has written hello, or is about to, or is dead: the read that follows tells, and does not hang.
unused() {
	while :; do
		while read -r line <&3; do
			if [ "$line" = stop ]; then
				mv "$run/live" "$run/closing"
				return
			fi
		done
		if [ -e "$run/kept" ]; then
			exec 7>"$run/live" # a user that never leaves
			continue
		fi
		mv "$run/live" "$run/closing"
		read -r line <&3 || return
		[ "$line" = stop ] && return
		mv "$run/closing" "$run/live"
	done
}

stop() {
	case $kind in
	persistent) kill -s INT "$server" ;; # fast: writes everything down
	*) kill -s QUIT "$server" ;;         # immediate: nothing is worth writing
	esac
	read -r line <&5
	if [ -z "$child" ]; then
		while [ -e "$data/postmaster.pid" ] && kill -0 "$server"; do sleep 0.1; done
	fi
}

sweep() {
	if [ "$kind" = ephemeral ] && [ -s "$data/postmaster.pid" ]; then
		# The server was killed and has left its shared memory segment, named in line 7.
		set -- $(sed -n 7p "$data/postmaster.pid")
		[ $# = 2 ] && ipcrm -m "$2"
	fi
	rm -rf "$run"
}

child=
if [ "$server" = 0 ]; then
	until [ "$line" = start ]; do
		if ! read -r line <&3 || [ "$line" = stop ]; then
			sweep
			exit
		fi
	done
	"$@" 3<&- 5<&- &
	server=$! child=$!
fi
exec 4>&- 6>&-

until
	(
		unused
		stop
		sweep
		exit 0
	) &
	wait $!
do :; done
