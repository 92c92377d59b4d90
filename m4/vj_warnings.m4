# VJ_WARNINGS: the warnings every file is held to. Sets VJ_CFLAGS.
AC_DEFUN([VJ_WARNINGS], [
  VJ_CFLAGS="-std=gnu11 -Wall -Wextra -Wshadow -Wpointer-arith -Wmissing-prototypes -Wstrict-prototypes -fvisibility=hidden -fno-math-errno"
  AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors])],
                [AS_IF([test "x$enableval" = xyes], [VJ_CFLAGS="$VJ_CFLAGS -Werror"])])
  AC_SUBST([VJ_CFLAGS])
])
