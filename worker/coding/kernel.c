/* The inner loop of the coder: the weights of one layer, one decision at a time.
 *
 * Does exactly what `_code_mixed` of weights.py does, of which it is a translation: the same decisions with the same
 * probabilities, in whole numbers, so that both write and read the same bytes (tests/worker/coding/test_kernel.py).
 * docs/format.md describes the format; weights.py and mixing.py say why it is as it is.
 *
 * Right shifts of negative numbers round down here as in Python: C leaves that to the compiler, and those that build
 * this file (GCC, Clang) define it so.
 */
#include "kernel_stream.h"

void tonok_open(Reader *reader, const uint8_t *data, uint64_t size, int64_t max_decisions) {
    *reader = (Reader){.data = data, .size = size, .range = UINT64_MAX, .decisions_left = max_decisions};
    reader->point = read_word(reader) << 32;
    reader->point |= read_word(reader);
}

int tonok_read(Reader *reader, uint32_t probability) {
    if (--reader->decisions_left < 0) return TOO_MANY_TO_READ;
    return read_bit(reader, probability);
}

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

/* ---- Contexts: 22 bits of probability above 10 bits of the number of decisions seen. ---- */

enum { STATE_BITS = 22, COUNT_BITS = 10, MEMORY = 1000, EVEN_STATE = 1 << (STATE_BITS - 1) };

/* A new context reads as 0, as fresh memory does; no state is all ones, so a stored state is never 0. */
static uint32_t pack(int64_t probability, uint32_t count) { return ~((uint32_t)probability << COUNT_BITS | count); }
static int64_t probability_of(uint32_t slot) { return ~slot >> COUNT_BITS; }
static uint32_t count_of(uint32_t slot) { return ~slot & ((1 << COUNT_BITS) - 1); }

/* Contexts of which only a few of many will be met: open addressing, so that memory follows the decisions made and
 * not the shape that a file declares. */
typedef struct {
    uint32_t *keys, *slots; /* key + 1; 0: free */
    uint64_t capacity, used;
    int shift; /* 2^(64 - shift) is the capacity */
} Contexts;

/* Of the product the high bits: the low ones depend on the low bits of the key alone, which are a node, one of few. */
static uint64_t home_of(const Contexts *table, uint32_t key) { return key * 0x9E3779B97F4A7C15u >> table->shift; }

static uint32_t *probe(Contexts *table, uint32_t key) {
    uint64_t mask = table->capacity - 1, i = home_of(table, key);
    while (table->keys[i] != 0 && table->keys[i] != key + 1) i = (i + 1) & mask;
    table->used += table->keys[i] == 0;
    table->keys[i] = key + 1;
    return &table->slots[i];
}

static uint32_t *find(Contexts *table, uint32_t key) {
    if (2 * table->used >= table->capacity) {
        Contexts larger = {.capacity = 1024, .shift = 54};
        if (table->capacity) larger = (Contexts){.capacity = 2 * table->capacity, .shift = table->shift - 1};
        larger.keys = calloc(larger.capacity, sizeof *larger.keys);
        larger.slots = calloc(larger.capacity, sizeof *larger.slots);
        if (!larger.keys || !larger.slots) {
            free(larger.keys);
            free(larger.slots);
            return NULL;
        }
        for (uint64_t i = 0; i < table->capacity; i++)
            if (table->keys[i]) *probe(&larger, table->keys[i] - 1) = table->slots[i];
        free(table->keys);
        free(table->slots);
        *table = larger;
    }
    return probe(table, key);
}

/* ---- One decision, seen in several contexts at once: `MixedBit.transcode`. ---- */

enum { MAX_INPUTS = 6, LOGIT_LIMIT = 2816, SLOWEST_MIX = 6 };

typedef struct {
    int64_t num_inputs;
    int64_t *weights; /* (sets, inputs) */
    int64_t *counts;  /* (sets) */
} Mixer;

typedef struct {
    Sink sink;
    const int32_t *logits;        /* (65536) */
    const int32_t *probabilities; /* (2 * LOGIT_LIMIT + 1) */
} Coder;

static int take(Sink *sink, uint32_t probability, int bit) {
    if (sink->reader) return tonok_read(sink->reader, probability);
    if (sink->writer) return tonok_write(sink->writer, probability, bit);
    sink->bits += sink->costs[bit ? probability : 65536 - probability];
    return bit;
}

static int decide(Coder *coder, const Mixer *mixer, uint32_t *const slots[], int weight_set, int bit) {
    int num_inputs = (int)mixer->num_inputs;
    int64_t *weights = mixer->weights + weight_set * num_inputs;
    int64_t logits[MAX_INPUTS], base = EVEN_STATE, mixed = 0;
    for (int i = 0; i < num_inputs; i++) {
        if (!slots[i]) return OUT_OF_MEMORY;
        if (!*slots[i]) *slots[i] = pack(base, 0);
        int64_t state = probability_of(*slots[i]);
        logits[i] = coder->logits[state >> 6];
        if (i == 0)
            base = state;
        else
            logits[i] -= logits[0];
        mixed += weights[i] * logits[i];
    }
    mixed >>= 16;
    if (mixed > LOGIT_LIMIT) mixed = LOGIT_LIMIT;
    if (mixed < -LOGIT_LIMIT) mixed = -LOGIT_LIMIT;
    int64_t probability = coder->probabilities[mixed + LOGIT_LIMIT];
    bit = take(&coder->sink, (uint32_t)probability, bit);
    if (bit < 0) return bit;

    int64_t seen = mixer->counts[weight_set]++;
    int64_t error = (((int64_t)bit << 16) - probability) * (seen < 118 ? 800 / (seen + 16) : SLOWEST_MIX);
    for (int i = 0; i < num_inputs; i++) {
        weights[i] += error * logits[i] >> 18;
        int64_t state = probability_of(*slots[i]);
        uint32_t count = count_of(*slots[i]);
        state += (((int64_t)bit << STATE_BITS) - state) * (65536 / (count + 3)) >> 16;
        *slots[i] = pack(state, count < MEMORY - 1 ? count + 1 : count);
    }
    return bit;
}

/* ---- A layer ---- */

enum { SMALL_KERNEL = 16, MAX_DENSITIES = 256, SIGNS = 81 };

typedef struct {
    int64_t rows, columns; /* of the layer; together at most 2^20 weights */
    int64_t num_live_rows, num_live_columns;
    const int64_t *live_rows, *live_columns; /* those that are walked, in order */
    int64_t positions, stride, by_column, bit_width;
    const int8_t *weight; /* (rows, columns); NULL for a reader */
    int16_t *read;        /* (rows, columns), zeros: what is in the file */
    Mixer nonzero, negative, magnitude;
} Layer;

typedef struct {
    uint32_t one, *row, *column, *position, *area, *line; /* zero or not */
    uint32_t plain, cross[SIGNS], around[SIGNS];          /* sign */
    uint32_t node[MAX_NODES], *density;                   /* magnitude */
    Contexts node_of_row, node_of_column;
    int32_t *in_row, *in_column; /* weights other than zero so far */
    uint8_t *in_block;           /* the same of one kernel: of SMALL_KERNEL positions at most, else unused */
} Tables;

static int sign(int value) { return (value > 0) - (value < 0) + 1; }

/* 1..2^(bit_width - 1): the number of further bits in unary, then those bits, highest first. */
static int code_magnitude(Coder *coder, const Layer *layer, Tables *tables, int magnitude, uint32_t row,
                          uint32_t column, uint32_t density) {
    int size = 0, read = 1;
    for (int is_prefix = 1, shift = -1;;) {
        if (is_prefix && size >= layer->bit_width - 1) {
            is_prefix = 0;
            shift = size;
        }
        if (!is_prefix && --shift < 0) return read;
        uint32_t node = is_prefix ? (uint32_t)size : 8u + (1u << size) + (uint32_t)read;
        uint32_t *slots[] = {&tables->node[node], find(&tables->node_of_row, row << 9 | node),
                             find(&tables->node_of_column, column << 9 | node),
                             &tables->density[density << 9 | node]};
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

static int code_weight(Coder *coder, const Layer *layer, Tables *tables, int64_t row, int64_t column) {
    int64_t stride = layer->stride, channel = column / layer->positions, position = column % layer->positions;
    int64_t x = position % stride, line = position / stride;
    int64_t lines = (layer->positions + stride - 1) / stride, channels = layer->columns / layer->positions;
    int has_positions = layer->positions > 1, is_kernel = layer->positions <= SMALL_KERNEL;
    int16_t *here = layer->read + row * layer->columns + column;
    int above = row ? here[-layer->columns] : 0;
    int before = channel ? here[-layer->positions] : 0;
    int left = position ? here[-1] : 0;
    int upper = 0, upper_left = 0, upper_right = 0;
    if (line) {
        upper = here[-stride];
        upper_left = x ? here[-stride - 1] : 0;
        upper_right = x + 1 < stride ? here[1 - stride] : 0;
    }
    uint8_t *in_block = &tables->in_block[is_kernel ? row * channels + channel : 0];
    int64_t area = is_kernel ? *in_block * SMALL_KERNEL + position : row * lines + line;
    int near = 10;
    if (has_positions) near = (int)least(9, 2 * abs(left) + 2 * abs(upper) + abs(upper_left) + abs(upper_right));

    int value = layer->weight ? layer->weight[row * layer->columns + column] : 0;
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
    int64_t density = least(15, 64 * (int64_t)tables->in_row[row] / (column + 8)) << 4 |
                      least(15, 32 * (int64_t)tables->in_column[column] / (row + 4));
    int magnitude = code_magnitude(coder, layer, tables, abs(value), (uint32_t)row, (uint32_t)column,
                                   (uint32_t)density);
    if (magnitude < 0) return magnitude;
    *here = (int16_t)(is_negative ? -magnitude : magnitude);
    tables->in_row[row]++;
    tables->in_column[column]++;
    if (is_kernel) ++*in_block;
    return 0;
}

static int walk(Coder *coder, const Layer *layer, Tables *tables) {
    int64_t num_outer = layer->by_column ? layer->num_live_columns : layer->num_live_rows;
    int64_t num_inner = layer->by_column ? layer->num_live_rows : layer->num_live_columns;
    for (int64_t outer = 0; outer < num_outer; outer++)
        for (int64_t inner = 0; inner < num_inner; inner++) {
            int64_t row = layer->live_rows[layer->by_column ? inner : outer];
            int64_t column = layer->live_columns[layer->by_column ? outer : inner];
            int status = code_weight(coder, layer, tables, row, column);
            if (status < 0) return status;
        }
    return 0;
}

/* The weights of one layer, to or from `sink`. 0, or why it ended early. */
static int code_layer(const Layer *layer, Sink *sink, const int32_t *logits, const int32_t *probabilities) {
    Coder coder = {*sink, logits, probabilities};
    int64_t lines = (layer->positions + layer->stride - 1) / layer->stride;
    int is_kernel = layer->positions <= SMALL_KERNEL;
    size_t num_areas = is_kernel ? (SMALL_KERNEL + 1) * SMALL_KERNEL : (size_t)(layer->rows * lines);
    size_t num_blocks = is_kernel ? (size_t)(layer->rows * (layer->columns / layer->positions)) : 1;
    Tables *tables = calloc(1, sizeof *tables);
    if (!tables) return OUT_OF_MEMORY;
    /* Fresh pages cost nothing before they are written to. */
    tables->row = calloc((size_t)layer->rows, sizeof *tables->row);
    tables->column = calloc((size_t)layer->columns, sizeof *tables->column);
    tables->position = calloc((size_t)layer->positions, sizeof *tables->position);
    tables->area = calloc(num_areas, sizeof *tables->area);
    tables->line = calloc((size_t)(layer->rows * layer->stride), sizeof *tables->line);
    tables->density = calloc((size_t)MAX_DENSITIES * MAX_NODES, sizeof *tables->density);
    tables->in_row = calloc((size_t)layer->rows, sizeof *tables->in_row);
    tables->in_column = calloc((size_t)layer->columns, sizeof *tables->in_column);
    tables->in_block = calloc(num_blocks, sizeof *tables->in_block);
    int is_whole = tables->row && tables->column && tables->position && tables->area && tables->line &&
                   tables->density && tables->in_row && tables->in_column && tables->in_block;
    int status = is_whole ? walk(&coder, layer, tables) : OUT_OF_MEMORY;
    void *blocks[] = {tables->row,     tables->column, tables->position,  tables->area,
                      tables->line,    tables->density, tables->in_row,   tables->in_column,
                      tables->in_block, tables->node_of_row.keys, tables->node_of_row.slots,
                      tables->node_of_column.keys, tables->node_of_column.slots, tables};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    *sink = coder.sink;
    return status;
}

int tonok_read_layer(Reader *reader, const Layer *layer, const int32_t *logits, const int32_t *probabilities) {
    Sink sink = {.reader = reader};
    return code_layer(layer, &sink, logits, probabilities);
}

int tonok_write_layer(Writer *writer, const Layer *layer, const int32_t *logits, const int32_t *probabilities) {
    Sink sink = {.writer = writer};
    return code_layer(layer, &sink, logits, probabilities);
}

/* Adds what the layer costs to `bits`, in the order of its decisions. */
int tonok_measure_layer(double *bits, const double *costs, const Layer *layer, const int32_t *logits,
                        const int32_t *probabilities) {
    Sink sink = {.costs = costs, .bits = *bits};
    int status = code_layer(layer, &sink, logits, probabilities);
    *bits = sink.bits;
    return status;
}
