"""What is known about OpenOCD 0.8 … master: its words, its commands, its dialects. Pure: bytes and text in, values out."""
