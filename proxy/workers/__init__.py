"""Many processes on one port: the fleet, which serves nothing itself, and its workers, each a whole proxy.

    fleet ──── spawns, listens for, replaces ────▶ worker 1, worker 2, …   (one slot and its sockets each)
      │ ◀───── link: a socket pair, messages ────▶
      └ supervises the model server

cpus       how many workers `auto` is
listener   the sockets of each slot, which outlive the worker that accepts from them
messages   all that crosses a link, and how it is framed
link       one end of a socket pair on the event loop
member     a worker as the fleet sees it: process, link, last report
restart    when a dead worker's successor starts
slot       keeps one worker in its place, and replaces it
notices    which breakers are open and which upstreams suspect, over all workers
hub        news passed on, counts added up, one model server shown to all
drills     which drill runs, and what all workers have found of it
reload     what a configuration read anew may change
fleet      the parent process
sharing    what a worker has to tell the others
questions  what a worker asks the fleet, and the answers
gate       the model server's gate, seen from a worker
remote_drills   the fleet's drills, likewise
worker     the child process
"""
