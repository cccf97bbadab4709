"""TOSA 1.0: integer graphs as flatbuffers for NPU toolchains."""
