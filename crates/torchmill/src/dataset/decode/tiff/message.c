/* Keeps libtiff's messages: their arguments are a va_list, which Rust cannot read. */
#include <stdarg.h>
#include <stdio.h>

/* The size of a text; also in libtiff.rs. */
enum { TEXT_BYTES = 300 };

/* libtiff's error handler: keeps the first message in `text`. Returns 1, so that libtiff prints nothing. */
int torchmill_tiff_error(void *tiff, void *text, const char *module, const char *format, va_list arguments) {
  (void)tiff;
  (void)module;
  if (*(char *)text == 0) vsnprintf(text, TEXT_BYTES, format, arguments);
  return 1;
}

/* libtiff's warning handler: PIL ignores warnings. */
int torchmill_tiff_warning(void *tiff, void *text, const char *module, const char *format, va_list arguments) {
  (void)tiff;
  (void)text;
  (void)module;
  (void)format;
  (void)arguments;
  return 1;
}
