# A guest of 512 bytes whose memory holds something: one word in each page from 1 MiB to 769 MiB. Then it says so on the
# serial line and halts for good, so that it takes no processor from whoever saves and restores it.

        .code16
        .global start

        .set FIRST, 0x00100000
        .set END, 0x30100000

start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        inb     $0x92, %al              # every address line, or each second MiB would be the one below
        orb     $2, %al
        andb    $0xfe, %al
        outb    %al, $0x92

        lgdtl   gdt_register            # a segment of 4 GiB, kept in real mode
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        jmp     1f
1:      movw    $8, %bx
        movw    %bx, %es
        andb    $0xfe, %al
        movl    %eax, %cr0
        jmp     2f
2:
        movl    $FIRST, %edi
        movl    $0x9e3779b9, %eax
fill:
        addr32 movl %eax, %es:(%edi)
        imull   $1664525, %eax, %eax
        addl    $1013904223, %eax
        addl    $4096, %edi
        cmpl    $END, %edi
        jb      fill

        movw    $0x3f8, %dx
        movb    $'F', %al
        outb    %al, %dx
rest:
        cli
        hlt
        jmp     rest

        .balign 8
gdt:
        .quad   0
        .quad   0x00cf92000000ffff      # data from 0 to 4 GiB
gdt_register:
        .word   15
        .long   gdt

        .org    510
        .word   0xaa55
