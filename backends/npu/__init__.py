"""NPUs: a graph cut into parts that an accelerator takes, and Arm's compiler for them."""
