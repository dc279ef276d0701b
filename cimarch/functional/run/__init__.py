"""A whole network on a batch: the order of its operations, what digital units do, what departs."""
