"""What a policy means, and the decision: check, compile, decide, session facts and ledger, explain."""
