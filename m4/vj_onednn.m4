# VJ_ONEDNN: oneDNN, the compute plugin `onednn`, and what the bench measures matrix products against; optional.
AC_DEFUN([VJ_ONEDNN], [
  AC_ARG_WITH([onednn], [AS_HELP_STRING([--without-onednn], [do without oneDNN])])
  have_onednn=no
  AS_IF([test "x$with_onednn" != xno], [
    AC_CHECK_HEADER([oneapi/dnnl/dnnl.h], [AC_CHECK_LIB([dnnl], [dnnl_matmul_desc_init], [have_onednn=yes])])
  ])
  AS_IF([test $have_onednn = yes], [ONEDNN_LIBS=-ldnnl])
  AC_SUBST([ONEDNN_LIBS])
  AM_CONDITIONAL([HAVE_ONEDNN], [test $have_onednn = yes])
  VJ_FEATURES="$VJ_FEATURES
  ONEDNN     $have_onednn       matrix products on the CPU, f32 and bf16 (libdnnl-dev)"
])
