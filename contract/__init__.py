"""What both sides of the socket have promised. I have never seen a socket."""
