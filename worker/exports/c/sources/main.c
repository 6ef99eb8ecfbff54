/* Classifies the pictures on standard input: each NETWORK_PICTURE_BYTES bytes, one behind the other. A line for each:
 * the class's number and its name, and after a tab each the logits with --logits, the milliseconds with --times. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "network.h"

static struct network_memory memory;

int main(int argc, char **argv) {
    static uint8_t picture[NETWORK_PICTURE_BYTES];
    static float logits[NETWORK_CLASSES];
    int shows_logits = argc == 2 && strcmp(argv[1], "--logits") == 0;
    int shows_times = argc == 2 && strcmp(argv[1], "--times") == 0;
    if (argc > 1 && !shows_logits && !shows_times) {
        fprintf(stderr, "usage: %s [--logits | --times] < pictures\n", argv[0]);
        return 2;
    }
#ifdef NETWORK_SET_UP
    if (NETWORK_SET_UP(&memory) != 0) {
        fprintf(stderr, "the network's bytes are damaged\n");
        return 1;
    }
#endif
    size_t read;
    while ((read = fread(picture, 1, sizeof picture, stdin)) == sizeof picture) {
        clock_t started = clock();
        network_run(picture, &memory, logits);
        double seconds = (double)(clock() - started) / (double)CLOCKS_PER_SEC;
        int best = 0;
        for (int i = 1; i < NETWORK_CLASSES; i++)
            if (logits[i] > logits[best]) best = i;
        printf("%d %s", best, network_class_names[best]);
        for (int i = 0; i < NETWORK_CLASSES && shows_logits; i++) printf("\t%a", (double)logits[i]);
        if (shows_times) printf("\t%.6f", 1000.0 * seconds);
        printf("\n");
    }
    if (read != 0) {
        fprintf(stderr, "the last picture has %lu of %lu bytes\n", (unsigned long)read, (unsigned long)sizeof picture);
        return 1;
    }
    return ferror(stdin) != 0;
}
