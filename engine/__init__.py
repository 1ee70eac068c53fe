"""What a policy means, and the decision. Pure: no clock, no disk, no socket."""
