/* Writes debug lines of 120 bytes as OpenOCD does at -d3, one write() each (log.c ends every line with a flush).
 * chatter LINES HITS: so many lines, HITS of them worth a finding, spread evenly. chatter 0 0: for ever, without hits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char hit[] = "Error: 31337 1500 hla_target.c:600 adapter_poll(): jtag status contains invalid mode value - communication failure\n";

static void put(const char *line, size_t size) {
    while (size > 0) {
        ssize_t done = write(1, line, size);
        if (done < 0) exit(1);
        line += done;
        size -= (size_t)done;
    }
}

int main(int argc, char **argv) {
    long lines = argc > 1 ? atol(argv[1]) : 0, hits = argc > 2 ? atol(argv[2]) : 0;
    char line[160];
    int size = snprintf(line, sizeof line, "Debug: 123456 7890 stlink_usb.c:1019 stlink_usb_xfer_noerrcheck(): %*s\n", 51, "cmd 0xf2 size 16");
    if (size != 119) return 2; /* and the terminal makes LF into CR LF: 120 */
    for (long n = 1; lines == 0 || n <= lines; n++) {
        if (hits && n % (lines / hits) == 0) put(hit, sizeof hit - 1);
        else put(line, (size_t)size);
    }
    return 0;
}
