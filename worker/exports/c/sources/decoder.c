#include "decoder.h"

#include <string.h>

#include "coder/kernel_blocks.h"
#include "coder/kernel_layer.h"

enum { HEAD_BYTES = 7, MAX_WEIGHTS = 1 << 26, SIZES = 28, MASKS = 9 };
enum { ZERO_INPUTS = 6, ZERO_SETS = 11, SIGN_INPUTS = 3, SIGN_SETS = 2, SIZE_INPUTS = 4, SIZE_SETS = 8 };

/* What is learnt from layer to layer: flags, and which contexts to trust. */
typedef struct {
    uint32_t positions_guessed, positions[SIZES], stride_guessed, stride[SIZES];
    uint32_t by_column, masked, in_blocks, row_mask[MASKS], column_mask[MASKS];
    int64_t zero_weights[ZERO_SETS * ZERO_INPUTS], zero_counts[ZERO_SETS];
    int64_t sign_weights[SIGN_SETS * SIGN_INPUTS], sign_counts[SIGN_SETS];
    int64_t size_weights[SIZE_SETS * SIZE_INPUTS], size_counts[SIZE_SETS];
} Learnt;

typedef struct {
    Reader reader;
    Memory memory;
    Logistic logistic;
    uint16_t *block_halves; /* (4 * MAX_BLOCK), behind the tables of the logistic function; NULL where nothing is in blocks */
    Learnt learnt;
    Tables tables;
} Decoder;

/* ---- The bytes are those that were exported: CRC-32 as in zlib ---- */

static uint32_t compute_checksum(const uint8_t *bytes, size_t size) {
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

static int is_whole(const struct tonok_file *file) {
    if (file->size < HEAD_BYTES) return 0;
    const uint8_t *said = file->bytes + 3;
    uint32_t crc = (uint32_t)said[0] << 24 | (uint32_t)said[1] << 16 | (uint32_t)said[2] << 8 | said[3];
    return crc == compute_checksum(file->bytes + HEAD_BYTES, file->size - HEAD_BYTES);
}

/* ---- The tables of the logistic function ---- */

/* The upper half of the product of two fractions of 2^64. */
static uint64_t multiply_fractions(uint64_t a, uint64_t b) {
    uint64_t a_low = (uint32_t)a, a_high = a >> 32, b_low = (uint32_t)b, b_high = b >> 32;
    uint64_t middle = a_high * b_low + (a_low * b_low >> 32);
    uint64_t rest = a_low * b_high + (uint32_t)middle;
    return a_high * b_high + (middle >> 32) + (rest >> 32);
}

/* 65536 / (1 + e^(-k/512)) for k = 0, 1, 2, …, rounded: of even k the probabilities of whole logits, of odd k where one
 * logit ends and the next begins. No value lies nearer to a half than 10^-7, and none is wrong by 10^-8. */
static void fill_logistic(uint16_t *steps, uint16_t *probabilities) {
    const uint64_t one = (uint64_t)1 << 44, ratio = 0xFF801FFAAB554445u; /* e^(-1/512) */
    uint64_t power = UINT64_MAX;                                         /* e^(-k/512) */
    for (uint32_t k = 0; k < 2 * NUM_STEPS; k++) {
        uint64_t divisor = one + (power >> 20);
        uint64_t rounded = ((one << 16) + divisor / 2) / divisor;
        uint16_t value = (uint16_t)(rounded < 65535 ? rounded : 65535);
        if (k % 2 && (k + 1) / 2 < NUM_STEPS) steps[(k + 1) / 2] = value;
        if (k % 2 == 0 && k / 2 <= LOGIT_LIMIT) probabilities[k / 2] = value;
        power = multiply_fractions(power, ratio);
    }
    steps[0] = 32768;
}

/* ---- Small values ---- */

static int read_flag(Reader *reader, uint32_t *slot) {
    if (!*slot) *slot = pack_state(EVEN_STATE, 0);
    int32_t probability = probability_of(*slot) >> 6;
    int bit = tonok_read(reader, (uint32_t)(probability < 1 ? 1 : probability));
    if (bit >= 0) *slot = learn(*slot, bit);
    return bit;
}

/* A number that is probably `guess`. */
static int64_t read_guessed(Reader *reader, uint32_t *guessed, uint32_t sizes[SIZES], int64_t guess) {
    int bit = read_flag(reader, guessed);
    if (bit) return bit < 0 ? bit : guess;
    int size = 0;
    while (size < SIZES - 1 && (bit = read_flag(reader, &sizes[size])) > 0) size++;
    if (bit < 0) return bit;
    int64_t read = 1;
    for (int i = 0; i < size; i++) {
        bit = tonok_read(reader, 32768);
        if (bit < 0) return bit;
        read = 2 * read + bit;
    }
    return read - 1 > MAX_WEIGHTS ? INVALID_STREAM : read - 1;
}

/* Those of `count` that hold any weight. NULL with the status set where they cannot be read. */
static uint32_t *read_live(Decoder *decoder, uint32_t masks[MASKS], int is_masked, uint32_t count, uint32_t period,
                           uint32_t *num_live, int *status) {
    uint32_t *live = take_words(&decoder->memory, count);
    uint8_t *flags = take_bytes(&decoder->memory, is_masked ? count : 0);
    *num_live = 0;
    if (!live || !flags) *status = OUT_OF_MEMORY;
    for (uint32_t i = 0; i < count && *status == 0; i++) {
        int bit = 1;
        if (is_masked) {
            int near = i ? flags[i - 1] : 2, far = i >= period ? flags[i - period] : 2;
            bit = read_flag(&decoder->reader, &masks[3 * near + far]);
            if (bit < 0)
                *status = bit;
            else
                flags[i] = (uint8_t)bit;
        }
        if (bit > 0) live[(*num_live)++] = i;
    }
    return live;
}

/* ---- The weights of a layer ---- */

static int read_blocks(Decoder *decoder, const Layer *layer) {
    uint32_t *words = take_words(&decoder->memory, 2 * MAX_NODES);
    uint8_t *bytes = take_bytes(&decoder->memory, 3 * MAX_BLOCK); /* one of them for what is read */
    int16_t *halves = (int16_t *)decoder->block_halves;
    if (!words || !bytes || !halves) return OUT_OF_MEMORY;
    uint32_t(*counts)[2] = (uint32_t(*)[2])words;
    for (int i = 0; i < MAX_NODES; i++) counts[i][0] = counts[i][1] = 1;
    Parts parts = {halves,           halves + MAX_BLOCK, halves + 2 * MAX_BLOCK, halves + 3 * MAX_BLOCK,
                   bytes, bytes + MAX_BLOCK};
    int8_t *block = (int8_t *)bytes + 2 * MAX_BLOCK;
    const uint32_t *outer = layer->by_column ? layer->live_columns : layer->live_rows;
    const uint32_t *inner = layer->by_column ? layer->live_rows : layer->live_columns;
    int64_t num_inner = layer->by_column ? layer->num_live_rows : layer->num_live_columns;
    int64_t total = (int64_t)layer->num_live_rows * layer->num_live_columns, length = 64;
    for (int64_t start = 0; start < total; start += length, length = least(2 * length, MAX_BLOCK)) {
        int64_t count = least(length, total - start);
        int status = tonok_read_integers(&decoder->reader, counts, &parts, block, count, (int)layer->bit_width);
        if (status < 0) return status;
        for (int64_t i = 0; i < count; i++) {
            uint32_t first = outer[(start + i) / num_inner], second = inner[(start + i) % num_inner];
            uint32_t row = layer->by_column ? second : first, column = layer->by_column ? first : second;
            put_weight(layer, row * layer->columns + column, block[i]);
        }
    }
    return 0;
}

static int read_layer(Decoder *decoder, const struct tonok_coded_layer *said, uint8_t *packed) {
    Learnt *learnt = &decoder->learnt;
    Reader *reader = &decoder->reader;
    int64_t positions = read_guessed(reader, &learnt->positions_guessed, learnt->positions, said->positions - 1);
    if (positions < 0) return (int)positions;
    int64_t stride = read_guessed(reader, &learnt->stride_guessed, learnt->stride, said->stride - 1);
    if (stride < 0) return (int)stride;
    uint32_t *flags[] = {&learnt->by_column, &learnt->masked, &learnt->in_blocks};
    int read[3], status = 0;
    for (int i = 0; i < 3; i++)
        if ((read[i] = read_flag(reader, flags[i])) < 0) return read[i];
    if (said->columns % ++positions || ++stride > positions) return INVALID_STREAM;

    uint32_t num_rows, num_columns, num_contexts[3];
    uint32_t *rows = read_live(decoder, learnt->row_mask, read[1], said->rows, 1, &num_rows, &status);
    uint32_t *columns = read_live(decoder, learnt->column_mask, read[1], said->columns, (uint32_t)positions,
                                  &num_columns, &status);
    if (status < 0) return status;
    memcpy(num_contexts, said->num_contexts, sizeof num_contexts);
    Layer layer = {
        .rows = said->rows, .columns = said->columns, .num_live_rows = num_rows, .num_live_columns = num_columns,
        .live_rows = rows, .live_columns = columns, .positions = (uint32_t)positions, .stride = (uint32_t)stride, .by_column = (uint32_t)read[0],
        .bit_width = said->bits, .read = packed, .num_contexts = num_contexts,
        .nonzero = {ZERO_INPUTS, learnt->zero_weights, learnt->zero_counts},
        .negative = {SIGN_INPUTS, learnt->sign_weights, learnt->sign_counts},
        .magnitude = {SIZE_INPUTS, learnt->size_weights, learnt->size_counts},
    };
    if (read[2]) return read_blocks(decoder, &layer);
    return tonok_read_layer(reader, &layer, &decoder->logistic, &decoder->memory, &decoder->tables);
}

static void trust_first(int64_t *weights, int num_sets, int num_inputs) {
    for (int i = 0; i < num_sets * num_inputs; i++) weights[i] = i % num_inputs ? 10000 : 65536;
}

int tonok_decode(const struct tonok_file *file, const struct tonok_coded_layer *layers, size_t count,
                 const struct tonok_workspace *workspace, uint8_t *packed) {
    const size_t tables = NUM_STEPS + LOGIT_LIMIT + 1;
    if (!is_whole(file)) return TONOK_DAMAGED;
    if (workspace->num_halves < tables) return TONOK_NO_MEMORY;
    uint16_t *probabilities = workspace->halves + NUM_STEPS;
    fill_logistic(workspace->halves, probabilities);
    Decoder decoder = {
        .reader = {file->bytes + HEAD_BYTES, file->size - HEAD_BYTES, file->next, file->lower, file->range, file->point,
                   file->decisions_left},
        .memory = {workspace->words, workspace->bytes, workspace->num_words, workspace->num_bytes, 0, 0},
        .logistic = {workspace->halves, probabilities},
        .block_halves = workspace->num_halves < tables + 4 * MAX_BLOCK ? NULL : workspace->halves + tables,
    };
    trust_first(decoder.learnt.zero_weights, ZERO_SETS, ZERO_INPUTS);
    trust_first(decoder.learnt.sign_weights, SIGN_SETS, SIGN_INPUTS);
    trust_first(decoder.learnt.size_weights, SIZE_SETS, SIZE_INPUTS);
    for (size_t i = 0; i < count; i++) {
        size_t num_bytes = ((size_t)layers[i].rows * layers[i].columns * layers[i].bits + 7) / 8;
        memset(packed, 0, num_bytes);
        decoder.memory.used_words = decoder.memory.used_bytes = 0;
        int status = read_layer(&decoder, &layers[i], packed);
        if (status < 0) return status == OUT_OF_MEMORY ? TONOK_NO_MEMORY : TONOK_DAMAGED;
        packed += num_bytes;
    }
    return 0;
}
