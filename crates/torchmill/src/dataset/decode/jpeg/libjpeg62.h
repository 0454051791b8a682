/* The types of libjpeg's public interface that a decoder needs, in the layout of its ABI 6.2, which libjpeg-turbo
   keeps. jpeg_CreateDecompress refuses a structure of another size or version. Source: libjpeg.txt of libjpeg-turbo. */
#include <stddef.h>

typedef int boolean;
typedef unsigned char JSAMPLE;
typedef JSAMPLE *JSAMPROW, **JSAMPARRAY;
typedef unsigned int JDIMENSION;
enum { JPEG_LIB_VERSION = 62, JMSG_LENGTH_MAX = 200, JMSG_STR_PARM_MAX = 80 };
enum { JCS_UNKNOWN, JCS_GRAYSCALE, JCS_RGB, JCS_YCbCr, JCS_CMYK, JCS_YCCK };
enum { JPEG_SUSPENDED = 0, JPEG_HEADER_OK = 1, JPEG_HEADER_TABLES_ONLY = 2 };

typedef struct jpeg_common_struct *j_common_ptr;
typedef struct jpeg_decompress_struct *j_decompress_ptr;

struct jpeg_error_mgr {
  void (*error_exit)(j_common_ptr);
  void (*emit_message)(j_common_ptr, int level);
  void (*output_message)(j_common_ptr);
  void (*format_message)(j_common_ptr, char *);
  void (*reset_error_mgr)(j_common_ptr);
  int msg_code;
  union { int i[8]; char s[JMSG_STR_PARM_MAX]; } msg_parm;
  int trace_level;
  long num_warnings;
  const char *const *message_table;
  int last_message;
  const char *const *addon_table;
  int first_addon, last_addon;
};

struct jpeg_common_struct { struct jpeg_error_mgr *err; };

struct jpeg_source_mgr {
  const unsigned char *next_input_byte;
  size_t bytes_in_buffer;
  void (*init_source)(j_decompress_ptr);
  boolean (*fill_input_buffer)(j_decompress_ptr);
  void (*skip_input_data)(j_decompress_ptr, long);
  boolean (*resync_to_restart)(j_decompress_ptr, int);
  void (*term_source)(j_decompress_ptr);
};

struct jpeg_decompress_struct {
  struct jpeg_error_mgr *err;
  void *mem, *progress, *client_data;
  boolean is_decompressor;
  int global_state;
  struct jpeg_source_mgr *src;
  JDIMENSION image_width, image_height;
  int num_components, jpeg_color_space, out_color_space;
  unsigned int scale_num, scale_denom;
  double output_gamma;
  boolean buffered_image, raw_data_out;
  int dct_method;
  boolean do_fancy_upsampling, do_block_smoothing, quantize_colors;
  int dither_mode;
  boolean two_pass_quantize;
  int desired_number_of_colors;
  boolean enable_1pass_quant, enable_external_quant, enable_2pass_quant;
  JDIMENSION output_width, output_height;
  int out_color_components, output_components, rec_outbuf_height, actual_number_of_colors;
  JSAMPARRAY colormap;
  JDIMENSION output_scanline;
  int input_scan_number;
  JDIMENSION input_iMCU_row;
  int output_scan_number;
  JDIMENSION output_iMCU_row;
  int (*coef_bits)[64];
  void *quant_tbl_ptrs[4], *dc_huff_tbl_ptrs[4], *ac_huff_tbl_ptrs[4];
  int data_precision;
  void *comp_info;
  boolean progressive_mode, arith_code;
  unsigned char arith_dc_L[16], arith_dc_U[16], arith_ac_K[16];
  unsigned int restart_interval;
  boolean saw_JFIF_marker;
  unsigned char JFIF_major_version, JFIF_minor_version, density_unit;
  unsigned short X_density, Y_density;
  boolean saw_Adobe_marker;
  unsigned char Adobe_transform;
  boolean CCIR601_sampling;
  void *marker_list;
  int max_h_samp_factor, max_v_samp_factor, min_DCT_scaled_size;
  JDIMENSION total_iMCU_rows;
  JSAMPLE *sample_range_limit;
  int comps_in_scan;
  void *cur_comp_info[4];
  JDIMENSION MCUs_per_row, MCU_rows_in_scan;
  int blocks_in_MCU, MCU_membership[10], Ss, Se, Ah, Al, unread_marker;
  void *master, *main, *coef, *post, *inputctl, *marker, *entropy, *idct, *upsample, *cconvert, *cquantize;
};
