"""Run generated C on the machines that it is meant for, without having them: QEMU.

machine     the machines, their tools, a run of a program
program     start-up code, run-time and a model's C become a program
counter     executed instructions, exactly, by layer and by function
model       the program as a callable, beside onnxruntime and the C of this machine
bench       the counts of a model's calls
"""
