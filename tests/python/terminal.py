"""Runs a command on a new terminal and prints everything that it shows there, including escapes.

Usage: terminal.py COLUMNS COMMAND [ARGUMENT ...]

Standard input, output and error are the terminal. The exit status is the command's.
"""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

columns, command = int(sys.argv[1]), sys.argv[2:]
outside, inside = pty.openpty()
fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
process = subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, start_new_session=True)
os.close(inside)
while True:
    try:
        piece = os.read(outside, 1 << 16)
    except OSError:  # On Linux: the other side has been closed.
        break
    if not piece:
        break
    sys.stdout.buffer.write(piece)
sys.stdout.flush()
sys.exit(process.wait())
