"""The command line: `main` and one file per verb. A verb's file is imported only when that verb is asked for."""
