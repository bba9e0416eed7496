C SPDX-License-Identifier: MIT
C
C     PENDUL - final state of a driven, damped pendulum:
C         THETA'' = -Q THETA' - SIN(THETA) + B COS(W T),  T = 0 .. TEND
C     after a random push, by Runge-Kutta-Fehlberg 4(5) with step control.
C     (Fehlberg, NASA TR R-315, 1969, table III.)
C
C     It is as such code was written: parameters and work arrays in COMMON, the
C     coefficients filled on the first call and kept by SAVE, a random generator
C     with its seed in COMMON. Two threads cannot call it at the same time.
C
C     P(1..3)  Q, B, W
C     P(4)     seed, P(5) TEND
C     R(1..2)  THETA and THETA' at TEND,  R(3) steps taken
C
      SUBROUTINE PENDUL(P, R)
      DOUBLE PRECISION P(5), R(3)
      DOUBLE PRECISION Q, B, W, Y, YT, F, ERR
      INTEGER ISEED
      COMMON /PARAM/ Q, B, W
      COMMON /WORK/ Y(2), YT(2), F(2,6), ERR
      COMMON /RANDOM/ ISEED
      DOUBLE PRECISION T, H, TOL, UNIF
      INTEGER NSTEP, MAXSTP
      PARAMETER (TOL = 1.0D-9, MAXSTP = 20000)
      EXTERNAL UNIF
      Q = P(1)
      B = P(2)
      W = P(3)
      ISEED = INT(P(4))
      Y(1) = 0.1D0*UNIF()
      Y(2) = 0.1D0*UNIF()
      T = 0.0D0
      H = 1.0D-2
      DO 10 NSTEP = 1, MAXSTP
         IF (T .GE. P(5)) GO TO 20
         IF (T + H .GT. P(5)) H = P(5) - T
         CALL RKFSTP(T, H)
         IF (ERR .LE. TOL) THEN
            T = T + H
            Y(1) = YT(1)
            Y(2) = YT(2)
         END IF
         H = 0.9D0*H*MIN(4.0D0, MAX(0.1D0, (TOL/(ERR+1.0D-30))**0.2D0))
   10 CONTINUE
   20 R(1) = Y(1)
      R(2) = Y(2)
      R(3) = NSTEP - 1
      END

C     One trial step from Y to YT; ERR estimates its error.
      SUBROUTINE RKFSTP(T, H)
      DOUBLE PRECISION T, H
      DOUBLE PRECISION Y, YT, F, ERR
      COMMON /WORK/ Y(2), YT(2), F(2,6), ERR
      DOUBLE PRECISION A(6,5), C(6), B4(6), B5(6), E
      INTEGER I, J, K
      LOGICAL FIRST
      SAVE FIRST, A, C, B4, B5
      DATA FIRST /.TRUE./
      IF (FIRST) THEN
         CALL RKFTAB(A, C, B4, B5)
         FIRST = .FALSE.
      END IF
      DO 30 K = 1, 6
         DO 20 I = 1, 2
            YT(I) = Y(I)
            DO 10 J = 1, K - 1
               YT(I) = YT(I) + H*A(K,J)*F(I,J)
   10       CONTINUE
   20    CONTINUE
         CALL DERIV(T + C(K)*H, K)
   30 CONTINUE
      ERR = 0.0D0
      DO 50 I = 1, 2
         YT(I) = Y(I)
         E = 0.0D0
         DO 40 K = 1, 6
            YT(I) = YT(I) + H*B5(K)*F(I,K)
            E = E + H*(B5(K) - B4(K))*F(I,K)
   40    CONTINUE
         ERR = MAX(ERR, ABS(E))
   50 CONTINUE
      END

C     The derivative at YT, into column K of F.
      SUBROUTINE DERIV(T, K)
      DOUBLE PRECISION T
      INTEGER K
      DOUBLE PRECISION Q, B, W, Y, YT, F, ERR
      COMMON /PARAM/ Q, B, W
      COMMON /WORK/ Y(2), YT(2), F(2,6), ERR
      F(1,K) = YT(2)
      F(2,K) = -Q*YT(2) - SIN(YT(1)) + B*COS(W*T)
      END

      SUBROUTINE RKFTAB(A, C, B4, B5)
      DOUBLE PRECISION A(6,5), C(6), B4(6), B5(6)
      INTEGER I, J
      DO 20 J = 1, 5
         DO 10 I = 1, 6
            A(I,J) = 0.0D0
   10    CONTINUE
   20 CONTINUE
      A(2,1) = 1.0D0/4.0D0
      A(3,1) = 3.0D0/32.0D0
      A(3,2) = 9.0D0/32.0D0
      A(4,1) = 1932.0D0/2197.0D0
      A(4,2) = -7200.0D0/2197.0D0
      A(4,3) = 7296.0D0/2197.0D0
      A(5,1) = 439.0D0/216.0D0
      A(5,2) = -8.0D0
      A(5,3) = 3680.0D0/513.0D0
      A(5,4) = -845.0D0/4104.0D0
      A(6,1) = -8.0D0/27.0D0
      A(6,2) = 2.0D0
      A(6,3) = -3544.0D0/2565.0D0
      A(6,4) = 1859.0D0/4104.0D0
      A(6,5) = -11.0D0/40.0D0
      C(1) = 0.0D0
      C(2) = 1.0D0/4.0D0
      C(3) = 3.0D0/8.0D0
      C(4) = 12.0D0/13.0D0
      C(5) = 1.0D0
      C(6) = 1.0D0/2.0D0
      B4(1) = 25.0D0/216.0D0
      B4(2) = 0.0D0
      B4(3) = 1408.0D0/2565.0D0
      B4(4) = 2197.0D0/4104.0D0
      B4(5) = -1.0D0/5.0D0
      B4(6) = 0.0D0
      B5(1) = 16.0D0/135.0D0
      B5(2) = 0.0D0
      B5(3) = 6656.0D0/12825.0D0
      B5(4) = 28561.0D0/56430.0D0
      B5(5) = -9.0D0/50.0D0
      B5(6) = 2.0D0/55.0D0
      END

C     Uniform in (0, 1): Park and Miller's minimal standard generator, by
C     Schrage's method (CACM 31, 1988).
      DOUBLE PRECISION FUNCTION UNIF()
      INTEGER ISEED, K
      COMMON /RANDOM/ ISEED
      K = ISEED/127773
      ISEED = 16807*(ISEED - K*127773) - 2836*K
      IF (ISEED .LT. 0) ISEED = ISEED + 2147483647
      UNIF = DBLE(ISEED)/2147483647.0D0
      END
