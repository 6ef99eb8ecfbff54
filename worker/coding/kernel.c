/* The inner loop of the coder: the weights of one layer, one decision at a time.
 *
 * Does exactly what `_code_mixed` of weights.py does, of which it is a translation: the same decisions with the same
 * probabilities, in whole numbers, so that both write and read the same bytes (tests/worker/coding/test_kernel.py).
 * docs/format.md describes the format; weights.py and mixing.py say why it is as it is.
 *
 * Right shifts of negative numbers round down here as in Python: C leaves that to the compiler, and those that build
 * this file (GCC, Clang) define it so.
 */
#include "kernel_layer.h"

void tonok_open(Reader *reader, const uint8_t *data, uint64_t size, int64_t max_decisions) {
    *reader = (Reader){.data = data, .size = size, .range = UINT64_MAX, .decisions_left = max_decisions};
    reader->point = read_word(reader) << 32;
    reader->point |= read_word(reader);
}

int tonok_read(Reader *reader, uint32_t probability) {
    if (--reader->decisions_left < 0) return TOO_MANY_TO_READ;
    return read_bit(reader, probability);
}

#ifndef TONOK_DEVICE
int tonok_read_block(Reader *reader, uint32_t probability, int32_t *bits, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if ((bits[i] = read_bit(reader, probability)) < 0) return bits[i];
    return 0;
}

void tonok_open_writer(Writer *writer, int64_t max_decisions) {
    *writer = (Writer){.range = UINT64_MAX, .decisions_left = max_decisions};
}

void tonok_close_writer(Writer *writer) { free(writer->words); }

int tonok_write(Writer *writer, uint32_t probability, int bit) {
    if (--writer->decisions_left < 0) return TOO_MANY_TO_WRITE;
    return write_bit(writer, probability, bit);
}

int tonok_write_block(Writer *writer, uint32_t probability, const int32_t *bits, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (write_bit(writer, probability, bits[i] != 0) < 0) return OUT_OF_MEMORY;
    return 0;
}
#endif

/* ---- One decision, seen in several contexts at once: `MixedBit.transcode`. ---- */

#ifdef TONOK_DEVICE
static int32_t find_logit(const Logistic *logistic, uint32_t probability) {
    uint32_t upper = probability < 32768 ? 65535 - probability : probability;
    uint32_t low = 0, high = NUM_STEPS; /* the last step that is not above it */
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (logistic->steps[middle] <= upper)
            low = middle;
        else
            high = middle;
    }
    return probability < 32768 ? -(int32_t)low : (int32_t)low;
}

static int32_t find_probability(const Logistic *logistic, int32_t logit) {
    return logit < 0 ? 65536 - logistic->probabilities[-logit] : logistic->probabilities[logit];
}
#else
static int32_t find_logit(const Logistic *logistic, uint32_t probability) { return logistic->logits[probability]; }

static int32_t find_probability(const Logistic *logistic, int32_t logit) {
    return logistic->probabilities[logit + LOGIT_LIMIT];
}
#endif

typedef struct {
    Sink sink;
    const Logistic *logistic;
    Memory *memory;
} Coder;

enum { SLOWEST_MIX = 6 };

static int take(Sink *sink, uint32_t probability, int bit) {
#ifdef TONOK_DEVICE
    (void)bit;
    return tonok_read(sink->reader, probability);
#else
    if (sink->reader) return tonok_read(sink->reader, probability);
    if (sink->writer) return tonok_write(sink->writer, probability, bit);
    sink->bits += sink->costs[bit ? probability : 65536 - probability];
    return bit;
#endif
}

static int decide(Coder *coder, const Mixer *mixer, uint32_t *const slots[], int weight_set, int bit) {
    int num_inputs = (int)mixer->num_inputs;
    int64_t *weights = mixer->weights + weight_set * num_inputs;
    int32_t logits[MAX_INPUTS], base = EVEN_STATE;
    int64_t mixed = 0;
    for (int i = 0; i < num_inputs; i++) {
        if (!slots[i]) return OUT_OF_MEMORY;
        if (!*slots[i]) *slots[i] = pack_state(base, 0);
        int32_t state = probability_of(*slots[i]);
        logits[i] = find_logit(coder->logistic, (uint32_t)(state >> 6));
        if (i == 0)
            base = state;
        else
            logits[i] -= logits[0];
        mixed += weights[i] * logits[i];
    }
    mixed >>= 16;
    if (mixed > LOGIT_LIMIT) mixed = LOGIT_LIMIT;
    if (mixed < -LOGIT_LIMIT) mixed = -LOGIT_LIMIT;
    int32_t probability = find_probability(coder->logistic, (int32_t)mixed);
    bit = take(&coder->sink, (uint32_t)probability, bit);
    if (bit < 0) return bit;

    int64_t seen = mixer->counts[weight_set]++;
    int32_t error = ((bit << 16) - probability) * (seen < 118 ? 800 / ((int32_t)seen + 16) : SLOWEST_MIX);
    for (int i = 0; i < num_inputs; i++) {
        weights[i] += (int64_t)error * logits[i] >> 18;
        *slots[i] = learn(*slots[i], bit);
    }
    return bit;
}

/* ---- A layer ---- */

static int sign(int value) { return (value > 0) - (value < 0) + 1; }

/* 1..2^(bit_width - 1): the number of further bits in unary, then those bits, highest first. */
static int code_magnitude(Coder *coder, const Layer *layer, Tables *tables, int magnitude, uint32_t row,
                          uint32_t column, uint32_t density) {
    int size = 0, read = 1, longest = (int)layer->bit_width - 1;
    for (int is_prefix = 1, shift = -1;;) {
        if (is_prefix && size >= longest) {
            is_prefix = 0;
            shift = size;
        }
        if (!is_prefix && --shift < 0) return read;
        uint32_t node = is_prefix ? (uint32_t)size : 8u + (1u << size) + (uint32_t)read;
        uint32_t *slots[] = {&tables->node[node], find(&tables->node_of_row, coder->memory, row << 9 | node),
                             find(&tables->node_of_column, coder->memory, column << 9 | node),
                             find(&tables->node_of_density, coder->memory, density << 9 | node)};
        int wanted = is_prefix ? magnitude >= 2 << size : magnitude >> shift & 1;
        int bit = decide(coder, &layer->magnitude, slots, size, wanted);
        if (bit < 0) return bit;
        if (!is_prefix) {
            read = 2 * read + bit;
        } else if (bit) {
            size++;
        } else {
            is_prefix = 0;
            shift = size;
        }
    }
}

static int code_weight(Coder *coder, const Layer *layer, Tables *tables, uint32_t row, uint32_t column) {
    uint32_t stride = layer->stride, channel = column / layer->positions, position = column % layer->positions;
    uint32_t x = position % stride, line = position / stride;
    uint32_t lines = (layer->positions + stride - 1) / stride, channels = layer->columns / layer->positions;
    int has_positions = layer->positions > 1, is_kernel = layer->positions <= SMALL_KERNEL;
    uint32_t here = row * layer->columns + column;
    int above = row ? get_weight(layer, here - layer->columns) : 0;
    int before = channel ? get_weight(layer, here - layer->positions) : 0;
    int left = position ? get_weight(layer, here - 1) : 0;
    int upper = 0, upper_left = 0, upper_right = 0;
    if (line) {
        upper = get_weight(layer, here - stride);
        upper_left = x ? get_weight(layer, here - stride - 1) : 0;
        upper_right = x + 1 < stride ? get_weight(layer, here - stride + 1) : 0;
    }
    uint8_t *in_block = &tables->in_block[is_kernel ? row * channels + channel : 0];
    uint32_t area = is_kernel ? *in_block * SMALL_KERNEL + position : row * lines + line;
    int near = 10;
    if (has_positions) near = (int)least(9, 2 * abs(left) + 2 * abs(upper) + abs(upper_left) + abs(upper_right));

    int value = layer->weight ? layer->weight[here] : 0;
    uint32_t *zero_or_not[] = {&tables->one,           &tables->row[row],   &tables->column[column],
                               &tables->position[position], &tables->area[area], &tables->line[row * stride + x]};
    int bit = decide(coder, &layer->nonzero, zero_or_not, near, value != 0);
    if (bit <= 0) return bit;

    int cross = sign(above) * 27 + sign(before) * 9 + sign(left) * 3 + sign(upper);
    int around = sign(left) * 27 + sign(upper) * 9 + sign(upper_left) * 3 + sign(upper_right);
    uint32_t *signs[] = {&tables->plain, &tables->cross[cross], &tables->around[around]};
    int is_negative = decide(coder, &layer->negative, signs, has_positions, value < 0);
    if (is_negative < 0) return is_negative;

    /* How dense the row and the column have been so far. */
    uint32_t of_row = 64 * tables->in_row[row] / (column + 8), of_column = 32 * tables->in_column[column] / (row + 4);
    uint32_t density = (of_row < 15 ? of_row : 15) << 4 | (of_column < 15 ? of_column : 15);
    int magnitude = code_magnitude(coder, layer, tables, abs(value), row, column, density);
    if (magnitude < 0) return magnitude;
    if (magnitude - is_negative >= 1 << (layer->bit_width - 1)) return OUTSIDE_OF_BITS;
    put_weight(layer, here, is_negative ? -magnitude : magnitude);
    tables->in_row[row]++;
    tables->in_column[column]++;
    if (is_kernel) ++*in_block;
    return 0;
}

static int walk(Coder *coder, const Layer *layer, Tables *tables) {
    uint32_t num_outer = layer->by_column ? layer->num_live_columns : layer->num_live_rows;
    uint32_t num_inner = layer->by_column ? layer->num_live_rows : layer->num_live_columns;
    for (uint32_t outer = 0; outer < num_outer; outer++)
        for (uint32_t inner = 0; inner < num_inner; inner++) {
            uint32_t row = layer->live_rows[layer->by_column ? inner : outer];
            uint32_t column = layer->live_columns[layer->by_column ? outer : inner];
            int status = code_weight(coder, layer, tables, row, column);
            if (status < 0) return status;
        }
    return 0;
}

/* The weights of one layer, to or from `sink`. 0, or why it ended early. */
static int code_layer(const Layer *layer, Sink *sink, const Logistic *logistic, Memory *memory, Tables *tables) {
    Coder coder = {*sink, logistic, memory};
    uint32_t lines = (layer->positions + layer->stride - 1) / layer->stride;
    int is_kernel = layer->positions <= SMALL_KERNEL;
    size_t num_areas = is_kernel ? (SMALL_KERNEL + 1) * SMALL_KERNEL : (size_t)layer->rows * lines;
    size_t num_blocks = is_kernel ? (size_t)layer->rows * (layer->columns / layer->positions) : 1;
    memset(tables, 0, sizeof *tables);
    tables->row = take_words(memory, (size_t)layer->rows);
    tables->column = take_words(memory, (size_t)layer->columns);
    tables->position = take_words(memory, (size_t)layer->positions);
    tables->area = take_words(memory, num_areas);
    tables->line = take_words(memory, (size_t)layer->rows * layer->stride);
    tables->in_row = take_words(memory, (size_t)layer->rows);
    tables->in_column = take_words(memory, (size_t)layer->columns);
    tables->in_block = take_bytes(memory, num_blocks);
    Contexts *found[] = {&tables->node_of_row, &tables->node_of_column, &tables->node_of_density};
    int is_whole = tables->row && tables->column && tables->position && tables->area && tables->line &&
                   tables->in_row && tables->in_column && tables->in_block;
    for (int i = 0; i < 3; i++) is_whole = open_contexts(found[i], memory, layer->num_contexts[i]) && is_whole;
    int status = is_whole ? walk(&coder, layer, tables) : OUT_OF_MEMORY;
    for (int i = 0; i < 3; i++) {
        layer->num_contexts[i] = (uint32_t)found[i]->used;
        close_contexts(found[i], memory);
    }
    void *taken[] = {tables->row,  tables->column, tables->position,  tables->area,
                     tables->line, tables->in_row, tables->in_column, tables->in_block};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) give_back(memory, taken[i]);
    *sink = coder.sink;
    return status;
}

#ifdef TONOK_DEVICE
int tonok_read_layer(Reader *reader, const Layer *layer, const Logistic *logistic, Memory *memory, Tables *tables) {
    Sink sink = {.reader = reader};
    return code_layer(layer, &sink, logistic, memory, tables);
}
#else
int tonok_read_layer(Reader *reader, const Layer *layer, const Logistic *logistic) {
    Sink sink = {.reader = reader};
    return code_layer(layer, &sink, logistic, &(Memory){0}, &(Tables){0});
}

int tonok_write_layer(Writer *writer, const Layer *layer, const Logistic *logistic) {
    Sink sink = {.writer = writer};
    return code_layer(layer, &sink, logistic, &(Memory){0}, &(Tables){0});
}

/* Adds what the layer costs to `bits`, in the order of its decisions. */
int tonok_measure_layer(double *bits, const double *costs, const Layer *layer, const Logistic *logistic) {
    Sink sink = {.costs = costs, .bits = *bits};
    int status = code_layer(layer, &sink, logistic, &(Memory){0}, &(Tables){0});
    *bits = sink.bits;
    return status;
}
#endif
