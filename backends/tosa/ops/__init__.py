"""One rule per operator of the dialect: integer operators as TOSA operations."""
