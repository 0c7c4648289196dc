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
census     what all workers counted, the dead ones included
reload     what a configuration read anew may change
fleet      the parent process
sharing    what a worker has to tell the others
gate       the model server's gate, seen from a worker
worker     the child process
"""
