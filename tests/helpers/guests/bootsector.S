# A guest of 512 bytes. In 80x25 text mode it shows a title, a counter of timer ticks (row 2, column 8) and a cell
# that changes colour with every tick (row 0, column 79). What is typed appears on the screen and goes out on COM1;
# what comes in on COM1 appears on the screen too. A key without a character is written <SSAA>: BIOS scan code and
# character of INT 16h, function 10h, in hexadecimal. Between events it halts, so that an idle guest is idle.

        .code16
        .global start

        .set COM1, 0x3f8
        .set TICKS, 0x46c               # BIOS data area: timer ticks since midnight, 18.2 a second

start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp
        cld
        sti
        ljmp    $0, $main
main:
        movw    $0x0003, %ax            # text mode, screen cleared
        int     $0x10
        movw    $0xb800, %ax
        movw    %ax, %es

        movw    $0xe3, %ax              # COM1: 9600 baud, 8N1
        xorw    %dx, %dx
        int     $0x14

        movw    $title, %si
        call    write
        movw    $0x0400, %dx            # what is typed starts in row 4
        movb    $0x02, %ah
        xorw    %bx, %bx
        int     $0x10

loop:
        movw    TICKS, %ax
        movb    %al, %ah                # the cell: a block in the colour of the tick
        orb     $0x01, %ah
        andb    $0x0f, %ah
        movb    $0xdb, %al
        movw    %ax, %es:158
        movw    $(2 * 80 + 8) * 2, %di
        movw    TICKS, %ax
        call    hex_on_screen

        movb    $0x11, %ah              # a key?
        int     $0x16
        jz      serial
        movb    $0x10, %ah
        int     $0x16
        cmpb    $0xe0, %al
        je      special
        testb   %al, %al
        jz      special
        call    put
        jmp     loop
special:
        movw    %ax, %bx
        movb    $'<', %al
        call    put
        movw    $4, %cx
digit:
        rolw    $4, %bx
        movb    %bl, %al
        call    nibble
        call    put
        loopw   digit
        movb    $'>', %al
        call    put
        jmp     loop

serial:
        movw    $COM1 + 5, %dx
        inb     %dx, %al
        cmpb    $0xff, %al              # no port there
        je      idle
        testb   $1, %al
        jz      idle
        movw    $COM1, %dx
        inb     %dx, %al
        call    teletype
        jmp     loop
idle:
        hlt
        jmp     loop

# Writes AX in hexadecimal at ES:DI.
hex_on_screen:
        movw    %ax, %bx
        movw    $4, %cx
1:      rolw    $4, %bx
        movb    %bl, %al
        call    nibble
        movb    $0x0e, %ah
        stosw
        loopw   1b
        ret

# The lower half of AL as a digit in AL.
nibble:
        andb    $0x0f, %al
        cmpb    $10, %al
        sbbb    $0x69, %al
        das
        ret

# Writes the text at DS:SI, ended by 0, with the cursor and on COM1.
write:
        lodsb
        testb   %al, %al
        jz      2f
        call    put
        jmp     write
2:      ret

# Writes AL on the screen and on COM1; a carriage return takes a line feed along.
put:
        call    teletype
        call    send
        cmpb    $'\r', %al
        jne     3f
        movb    $'\n', %al
        call    teletype
        call    send
        movb    $'\r', %al
3:      ret

teletype:
        pushaw
        movb    $0x0e, %ah
        movw    $0x0007, %bx
        int     $0x10
        popaw
        ret

# Sends AL on COM1; gives up on a port that does not take it.
send:
        pushaw
        movb    %al, %ah
        movw    $0xffff, %cx
        movw    $COM1 + 5, %dx
4:      inb     %dx, %al
        testb   $0x20, %al
        loopzw  4b
        jz      5f
        movb    %ah, %al
        movw    $COM1, %dx
        outb    %al, %dx
5:      popaw
        ret

title:  .asciz  "guivm boot sector\r\rticks"

        .org    510
        .word   0xaa55
