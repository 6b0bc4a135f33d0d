"""What may happen: one decider per concern, authorization in one place, and the dispatcher, the one writer."""
