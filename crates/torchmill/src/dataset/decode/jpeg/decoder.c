/* Decodes a JPEG in memory with libjpeg, as PIL does. libjpeg reports an error by a jump, which must not cross Rust's
   functions: each jump starts and ends in this file. */
#include "libjpeg62.h"
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

/* libjpeg's functions, in the order of FUNCTIONS in jpeg.rs. */
struct library {
  struct jpeg_error_mgr *(*std_error)(struct jpeg_error_mgr *);
  void (*create_decompress)(j_decompress_ptr, int version, size_t structure_size);
  void (*destroy_decompress)(j_decompress_ptr);
  int (*read_header)(j_decompress_ptr, boolean require_image);
  boolean (*start_decompress)(j_decompress_ptr);
  JDIMENSION (*read_scanlines)(j_decompress_ptr, JSAMPARRAY, JDIMENSION max_lines);
  boolean (*finish_decompress)(j_decompress_ptr);
  boolean (*resync_to_restart)(j_decompress_ptr, int desired);
  JDIMENSION (*skip_scanlines)(j_decompress_ptr, JDIMENSION lines);
  void (*crop_scanline)(j_decompress_ptr, JDIMENSION *left, JDIMENSION *width);
};

struct errors {
  struct jpeg_error_mgr manager;
  jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
};

struct decoder {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_source_mgr source;
  struct errors errors;
  const struct library *library;
};

/* What the functions below return; also in jpeg.rs. */
enum { OK, FAILED, TRUNCATED, OTHER_SIZE };

static void on_error(j_common_ptr jpeg) {
  struct errors *errors = (struct errors *)jpeg->err;
  errors->manager.format_message(jpeg, errors->text);
  longjmp(errors->jump, 1);
}

/* Counts warnings (level -1) and keeps the first one's text; traces have other levels. */
static void on_message(j_common_ptr jpeg, int level) {
  struct errors *errors = (struct errors *)jpeg->err;
  if (level >= 0) return;
  if (errors->manager.num_warnings++ == 0) errors->manager.format_message(jpeg, errors->text);
}

static void do_nothing(j_decompress_ptr jpeg) { (void)jpeg; }

/* The whole file is in memory, so there is no more input: libjpeg stops where it is. */
static boolean at_end(j_decompress_ptr jpeg) {
  (void)jpeg;
  return 0;
}

static void skip(j_decompress_ptr jpeg, long count) {
  struct jpeg_source_mgr *source = jpeg->src;
  size_t skipped = count <= 0 ? 0 : (size_t)count;
  if (skipped > source->bytes_in_buffer) skipped = source->bytes_in_buffer;
  source->next_input_byte += skipped;
  source->bytes_in_buffer -= skipped;
}

/* A decoder for one image; NULL if memory runs out. */
struct decoder *torchmill_jpeg_new(const struct library *library) {
  struct decoder *decoder = calloc(1, sizeof *decoder);
  if (decoder) decoder->library = library;
  return decoder;
}

void torchmill_jpeg_free(struct decoder *decoder) {
  if (decoder->jpeg.err) decoder->library->destroy_decompress(&decoder->jpeg);
  free(decoder);
}

/* libjpeg's text for an error, or for the first warning. */
const char *torchmill_jpeg_text(const struct decoder *decoder) { return decoder->errors.text; }

long torchmill_jpeg_warnings(const struct decoder *decoder) { return decoder->errors.manager.num_warnings; }

/* Reads the header of data[0..length], which must stay until torchmill_jpeg_pixels. shape becomes width, height,
   channels: 1 grey, 3 RGB, 4 CMYK as stored. */
int torchmill_jpeg_header(struct decoder *decoder, const unsigned char *data, size_t length, int shape[3]) {
  const struct library *library = decoder->library;
  struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
  struct jpeg_source_mgr source = {data, length, do_nothing, at_end, skip, library->resync_to_restart, do_nothing};
  int header;
  decoder->source = source;
  jpeg->err = library->std_error(&decoder->errors.manager);
  decoder->errors.manager.error_exit = on_error;
  decoder->errors.manager.emit_message = on_message;
  if (setjmp(decoder->errors.jump)) return FAILED;
  library->create_decompress(jpeg, JPEG_LIB_VERSION, sizeof *jpeg);
  jpeg->src = &decoder->source;
  /* Streams that hold only tables may come before the image. */
  do header = library->read_header(jpeg, 0);
  while (header == JPEG_HEADER_TABLES_ONLY);
  if (header == JPEG_SUSPENDED) return TRUNCATED;
  shape[0] = jpeg->image_width;
  shape[1] = jpeg->image_height;
  shape[2] = jpeg->num_components;
  return OK;
}

static void choose_colors(struct jpeg_decompress_struct *jpeg) {
  jpeg->out_color_space = JCS_RGB;
  if (jpeg->num_components == 1) jpeg->out_color_space = JCS_GRAYSCALE;
  if (jpeg->num_components == 4) jpeg->out_color_space = JCS_CMYK;
}

/* Begins to decode at 1/scale of the size (1, 2, 4 or 8), where the image is `whole` pixels wide. left and width are
   the columns that are wanted, and become those that the rows will have. */
int torchmill_jpeg_start(struct decoder *decoder, unsigned scale, unsigned whole, unsigned *left, unsigned *width) {
  const struct library *library = decoder->library;
  struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
  if (setjmp(decoder->errors.jump)) return FAILED;
  choose_colors(jpeg);
  jpeg->scale_num = 1;
  jpeg->scale_denom = scale;
  if (!library->start_decompress(jpeg)) return TRUNCATED;
  if (jpeg->output_width != whole || *left > whole || *width > whole - *left) return OTHER_SIZE;
  if (*width < whole) library->crop_scanline(jpeg, left, width);
  return OK;
}

/* Decodes some rows, which have this width, to pixels[count][width][channels]. */
int torchmill_jpeg_rows(struct decoder *decoder, unsigned width, unsigned first, unsigned count, unsigned char *pixels) {
  const struct library *library = decoder->library;
  struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
  size_t row_bytes;
  if (setjmp(decoder->errors.jump)) return FAILED;
  if (jpeg->output_width != width || first > jpeg->output_height || count > jpeg->output_height - first) return OTHER_SIZE;
  row_bytes = (size_t)width * jpeg->output_components;
  if (first > 0 && library->skip_scanlines(jpeg, first) != first) return TRUNCATED;
  while (jpeg->output_scanline < first + count) {
    JSAMPROW row = pixels + (jpeg->output_scanline - first) * row_bytes;
    if (library->read_scanlines(jpeg, &row, 1) != 1) return TRUNCATED;
  }
  return OK;
}

/* Reads the rest of the file after some rows, which have this width. `row` has room for one. */
int torchmill_jpeg_finish(struct decoder *decoder, unsigned width, unsigned char *row) {
  const struct library *library = decoder->library;
  struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
  JDIMENSION left = jpeg->output_height - jpeg->output_scanline;
  if (setjmp(decoder->errors.jump)) return FAILED;
  if (jpeg->output_width != width) return OTHER_SIZE;
  if (left > 0) {
    /* libjpeg does not read what it skips up to the last row. */
    if (left > 1 && library->skip_scanlines(jpeg, left - 1) != left - 1) return TRUNCATED;
    if (library->read_scanlines(jpeg, &row, 1) != 1) return TRUNCATED;
  }
  /* As in torchmill_jpeg_pixels. */
  library->finish_decompress(jpeg);
  return OK;
}

/* Decodes to pixels[height][width][channels]. */
int torchmill_jpeg_pixels(struct decoder *decoder, unsigned char *pixels) {
  const struct library *library = decoder->library;
  struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
  size_t row_bytes;
  if (setjmp(decoder->errors.jump)) return FAILED;
  choose_colors(jpeg);
  if (!library->start_decompress(jpeg)) return TRUNCATED;
  row_bytes = (size_t)jpeg->output_width * jpeg->output_components;
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = pixels + jpeg->output_scanline * row_bytes;
    if (library->read_scanlines(jpeg, &row, 1) != 1) return TRUNCATED;
  }
  /* Once all rows are there, PIL accepts a missing end marker, but no error before it. */
  library->finish_decompress(jpeg);
  return OK;
}
