"""One file per command of the command line: parse, call the API, print."""
