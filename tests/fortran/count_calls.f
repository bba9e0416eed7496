C SPDX-License-Identifier: MIT
C     Fixed form and an external procedure: how often this process called it.
      SUBROUTINE COUNT_CALLS(X, N)
      INTEGER X, N, CALLS
      SAVE CALLS
      DATA CALLS /0/
      CALLS = CALLS + 1
      N = CALLS
      IF (X .LT. 0) N = -1
      END
